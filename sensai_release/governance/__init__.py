"""Who may be in a release, and under which terms it may be used."""
