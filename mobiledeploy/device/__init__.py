"""Talking to phones over ADB: by USB, by Wi-Fi, or the virtual phone."""
