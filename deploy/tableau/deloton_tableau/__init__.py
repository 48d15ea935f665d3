"""The analysts' data source and workbook for Tableau, and the commands that deliver them."""
