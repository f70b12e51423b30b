"""The measurements of a load test and their report: JSON, and on demand an HTML page and a PNG.

recorder = Recorder(("acknowledge", "terminal"))
recorder.count("submitted"); recorder.latency("acknowledge", now - due); recorder.error("RESOURCE_EXHAUSTED")
recorder.sample(depth=Depth(12, 64), processes=sampler.sample())     # once per second
record = recorder.finish(heading, verdict=…, totals=…, tables=…)
record.to_json(path); report.render(path)
"""
