"""The only place that knows SQL: tables, migrations and the questions asked of them.

`store.py` opens the state, `rows.py` holds what comes out of it; both load without the database library.
"""
