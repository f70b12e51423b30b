"""Search over the metadata of published images: documents, queries, and the interface to a search engine.

An index is derived from the tables, and only finds ids: servers read the images of a result from the table. So an index
may lag, or be deleted and rebuilt, and no answer is wrong.
"""
