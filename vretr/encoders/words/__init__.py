"""Words without torch: the text towers of open_clip in NumPy over mapped weights.

Importing torch and open_clip takes ten times as long as reading a sentence does. So the text tower
of a model is prepared once (`preparing`, which needs torch), and then `Words` answers alone.
"""
