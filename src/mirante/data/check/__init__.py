"""The data check: what you should know about labelled images before believing any figures obtained with them."""
