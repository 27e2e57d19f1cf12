"""What came in: schemas, readers (one per tool), validation, storage. Knows nothing of policies or releases."""
