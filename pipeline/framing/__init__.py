"""Where a record ends, in text of any framing, damaged or not."""
