"""What leaves the building: datasheet, metadata, manifest, signatures, verification, difference."""
