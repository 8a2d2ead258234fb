"""`Files` on this machine, in HDFS, and where fsspec reaches. Imports no other adapter."""
