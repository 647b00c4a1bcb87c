"""How each command's report is laid out for a person: a module each, which bears the command's name.

A layout is a module here with

- ``lay_out(report) -> list[Table]``: tables of the records, of which there is at least one;
- ``NOTHING``: what there is none of where there is no record;

and where the summary says what the tables do not, ``headline(report)``, which gives the lines above them. They are
repeated below what fills a screen, unless ``closing(report)`` gives others for there. Those of commands whose tables
can be had in several ways take ``columns`` as well.
"""
