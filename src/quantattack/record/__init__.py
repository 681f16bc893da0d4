"""Storage of results in SQLite, and every number computed from them; works without torch.

`outcome` defines what is recorded per image, `file` and `record_file` the SQLite file, `identity` the settings that
decide whether a run may be resumed, `cell` one attack's outcomes as an array, `record` the numbers computed from the
cells, and `store` a run's file together with its records.  The others: `findings` of a diagnosis, `signals`,
`statistics`, `merge` for runs split into parts, `export` to CSV and Parquet, and `description`, which turns settings
into JSON.
"""
