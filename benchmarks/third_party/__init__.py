"""The converter on 48 networks of other people and the five portrait networks, with pnnx beside it."""
