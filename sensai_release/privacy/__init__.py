"""What protects people: keys, pseudonyms, policy, de-identification, disclosure risk. Pure functions on tables."""
