"""What a load run measured, and its report: JSON for machines, one HTML page and one picture for people.

recorder = Recorder(("acknowledge", "terminal"))
recorder.count("submitted"); recorder.latency("acknowledge", now - due); recorder.error("RESOURCE_EXHAUSTED")
recorder.sample(depth=Depth(12, 64), processes=sampler.sample())     # once a second
record = recorder.finish(heading, verdict=…, totals=…, tables=…)
record.to_json(path); report.to_html(record, path); report.to_png(record, path)
"""
