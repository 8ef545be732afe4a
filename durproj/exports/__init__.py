"""What a store holds as files for analysts: JSON lines, CSV, Parquet, or a table of a SQLite database."""
