"""Search over the metadata of published images: what is indexed and asked, and the port to an engine.

An index is a view of the tables. It holds what images are found by and never what is answered: servers take ids from it
and read those images from the table. So it may be behind, or thrown away and built again, and no answer is wrong.
"""
