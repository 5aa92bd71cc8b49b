"""Croissant: a snapshot described for tools that read data sets (JSON-LD, Croissant 1.0, mlcommons.org/croissant)."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.types import JsonObject

CONTEXT: JsonObject = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {"Int64": "sc:Integer", "Float64": "sc:Float", "Boolean": "sc:Boolean", "Date": "sc:Date"}
FOLDER = "parts"


def croissant(
    snapshot: Snapshot, profile: Sequence[JsonObject], *, name: str, personal: Sequence[str] = ()
) -> JsonObject:
    """The parts as files with their hashes, and the columns as fields with what they hold.

    The paths of the files are those of the store, relative to it. `personal` are columns about people.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{snapshot.rows:,} rows of {len(snapshot.columns)} columns, read from {snapshot.source}.",
        "version": "1.0.0",
        "datePublished": snapshot.created,
        "url": f"urn:sha256:{snapshot.id}",
        "license": "unknown: ask whoever the source belongs to",
        "citeAs": f"{name}, snapshot {snapshot.id}",
        "isLiveDataset": False,
        **({"rai:personalSensitiveInformation": list(personal)} if personal else {}),
        "distribution": [*(_file(part.sha256, part.bytes) for part in snapshot.parts), _all_parts(snapshot)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "field": [_field(column) for column in profile],
            }
        ],
    }


def _file(sha256: str, size: int) -> JsonObject:
    name = f"{sha256}.parquet"
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": f"{FOLDER}/{name}",
        "contentSize": f"{size} B",
        "encodingFormat": "application/vnd.apache.parquet",
        "sha256": sha256,
    }


def _all_parts(snapshot: Snapshot) -> JsonObject:
    return {
        "@type": "cr:FileSet",
        "@id": FOLDER,
        "name": FOLDER,
        "containedIn": [{"@id": f"{part.sha256}.parquet"} for part in snapshot.parts],
        "encodingFormat": "application/vnd.apache.parquet",
        "includes": "*.parquet",
    }


def _field(column: JsonObject) -> JsonObject:
    told = [
        f"{column['missing']:,} missing",
        f"{'about ' if column.get('distinct_is_about') else ''}{column['distinct']:,} distinct",
    ]
    if "low" in column:
        told.append(f"from {column['low']} to {column['high']}")
    kind = "sc:DateTime" if column["type"].startswith("Datetime") else TYPES.get(column["type"], "sc:Text")
    return {
        "@type": "cr:Field",
        "@id": f"rows/{column['name']}",
        "name": column["name"],
        "description": ", ".join(told),
        "dataType": kind,
        "source": {"fileSet": {"@id": FOLDER}, "extract": {"column": column["name"]}},
    }
