"""How triplets are made: from captions, a folder, a pipeline, somebody else's set."""
