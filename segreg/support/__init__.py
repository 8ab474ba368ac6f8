"""What any part may need: whole files, locks, progress, devices, randomness, Markdown."""
