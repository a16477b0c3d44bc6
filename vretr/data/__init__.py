"""Data sets as they lie on disk, and features of them.

`captions`, `labelled` and `triplets` each have a `load`; a data set is a folder, or a zip that is
unpacked once into vretr's cache (`sources`). What is malformed or missing is an error that says
where: nothing is dropped in silence, or figures would not be comparable.
"""
