"""Monitoring: what a version is asked and answers, against what it was tested on.

`log` keeps predictions and outcomes. `reference` is made once, from the sealed test part, and stored with the version.
`report.monitor` puts `observations` (the log, or a scored file) beside it, window by window: `drift`, `scoring` and the
verdict of `decide`. `alerts` tells someone. Everything is plain data; it is drawn elsewhere.
"""
