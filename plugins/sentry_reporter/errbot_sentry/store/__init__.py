"""The only place that knows SQL: tables, the migration and the queries.

`database.py` opens the database, and `records.py` defines the values that the queries return. Both load without
importing SQLAlchemy.
"""
