"""What a run leaves behind, without torch: SQLite files, read and written, and every number that is computed from them.

`outcome` is what is recorded of an image, `file` and `run_file` the SQLite file, `identity` what a run is continued by,
`cell` an attack's outcomes as one array, `record` the numbers over them, `store` a run's file with its records.  Beside
them: `findings` of a diagnosis, `signals`, `statistics`, `merge` of parts, `export` to CSV and Parquet, and
`description`, by which attacks become JSON.
"""
