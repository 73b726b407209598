"""One experiment from images to report: open the data, train, calibrate, export and evaluate, in one run folder."""
