"""`kerasnets verify`: is a published version still what was published, and does it answer here as it did then?"""
