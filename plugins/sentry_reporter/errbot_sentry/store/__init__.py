"""The only place that knows SQL: tables, the migration and the queries.

`database.py` opens the state and `records.py` has the values that come out of it; both load without the database
library.
"""
