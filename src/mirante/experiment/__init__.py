"""One experiment from images to report: open the data, train, calibrate, export, judge, in one run folder."""
