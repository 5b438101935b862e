"""From recorded runs to tables: as text for a terminal, Markdown, CSV and JSON."""
