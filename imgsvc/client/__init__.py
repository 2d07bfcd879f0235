"""The Python client: `async with Client() as client: job = await client.submit([...])`, or
without asyncio `with SyncClient() as client: job = client.submit([...])`.
"""

from imgsvc.client.answers import (
    Accepted,
    Analysis,
    Delivery,
    Image,
    ImageProblem,
    Job,
    Output,
    Preset,
    ProgressMessage,
    Watermark,
)
from imgsvc.client.client import Client
from imgsvc.client.connection import DEFAULT_SERVER
from imgsvc.client.download import Downloaded
from imgsvc.client.errors import (
    ApiError,
    ClientError,
    FilesUnreadable,
    JournalBusy,
    LocalFileError,
    ResultsLost,
    ResultsUnsaved,
    ServerUnreachable,
)
from imgsvc.client.journal import Journal
from imgsvc.client.sync import SyncClient
from imgsvc.client.upload import BytesUpload, FileUpload, Upload, UrlUpload
from imgsvc.domain.backup import SavedBackup

__all__ = [
    "DEFAULT_SERVER",
    "Accepted",
    "Analysis",
    "ApiError",
    "BytesUpload",
    "Client",
    "ClientError",
    "Delivery",
    "Downloaded",
    "FileUpload",
    "FilesUnreadable",
    "Image",
    "ImageProblem",
    "Job",
    "Journal",
    "JournalBusy",
    "LocalFileError",
    "Output",
    "Preset",
    "ProgressMessage",
    "ResultsLost",
    "ResultsUnsaved",
    "SavedBackup",
    "ServerUnreachable",
    "SyncClient",
    "Upload",
    "UrlUpload",
    "Watermark",
]
