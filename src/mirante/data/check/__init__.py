"""The data check: what a careful person would want to know of labelled images before they believe any figure made from them."""
