"""Tools around the notebooks: strict parameters, strict runs, their structure, exercises and publishing.

A lesson needs two names: ``begin`` (the check after its parameters cell) and ``paths``. Everything else is used from
the Makefile and the tests.
"""

from lib.course import paths
from lib.course.lesson import Lesson, begin
from lib.course.parameters import ParameterError

__all__ = ["Lesson", "ParameterError", "begin", "paths"]
