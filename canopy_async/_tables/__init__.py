"""Events as columns: one schema for Parquet files and for tables in memory."""
