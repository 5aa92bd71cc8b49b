"""Watching a version: what was asked of it, against what it was trained on; and the outcomes that came back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from rowsmith.errors import DataError, NotFoundError
from rowsmith.evaluation.metrics import METRICS, get_metric
from rowsmith.ingestion.sources import read_frame
from rowsmith.monitoring.log import LabelResult
from rowsmith.monitoring.reference import Reference
from rowsmith.monitoring.report import MonitorReport
from rowsmith.types import Metric, OnProgress, Progress, Task, no_progress
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import EVALUATION_FILE, REFERENCE_FILE
