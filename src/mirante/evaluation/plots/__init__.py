"""The pictures of the report, one function each, drawn with matplotlib and returned as figures."""
