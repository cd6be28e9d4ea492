"""Names of the steps' outputs, and what their elements are."""

PLAN = "plan"  # Plan
READS = "reads"  # ReadTask
SCANS = "scans"  # ScanTasks that one call makes
LIVE = "live"  # (origin number, live_rows.LiveFile)
VERSIONS = "versions"  # (bucket, versions.Packed)
SLICES = "slices"  # (origin number, its staging.Slices)
WEIGHTS = "weights"  # weights of slices as bytes, see keys.weights
DELIVERY_KEYS = "delivery_keys"  # DeliveryKeys
CATALOGUES = "catalogues"  # an encoded catalogue of a sample of events
REJECTS = "rejects"  # path of a file of dead letters
ROWS = "rows"  # (origin number, superseded rows, int64 as bytes); (shard, Routed)
WRITTEN = "written"  # Written
TALLIES = "tallies"  # Tally
