"""What a run would do, without doing it: ``plan``. Nothing is written.

`beginnings` (what the files are, from their first bytes), `expect` (time, memory and room, from
earlier runs), `facts` (what is told), `look` (all of it together), `text` (for people), `command`
(the command).
"""
