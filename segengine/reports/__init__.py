"""What do the store's buyers and sales come to? SQL by DuckDB over the engine's tables.

`catalogue.py` lists the reports, `report.py` says what one is, `html.py` and `pictures.py` draw it.
"""
