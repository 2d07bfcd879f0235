"""The Python client: `async with Client() as client: job = await client.submit([...])`."""

from imgsvc.client.answers import (
    Image,
    ImageProblem,
    Job,
    Output,
    Preset,
    ProgressMessage,
)
from imgsvc.client.client import Client
from imgsvc.client.connection import DEFAULT_SERVER
from imgsvc.client.download import Downloaded
from imgsvc.client.errors import ApiError, ClientError, LocalFileError, ServerUnreachable
from imgsvc.client.upload import BytesUpload, FileUpload, Upload

__all__ = [
    "DEFAULT_SERVER",
    "ApiError",
    "BytesUpload",
    "Client",
    "ClientError",
    "Downloaded",
    "FileUpload",
    "Image",
    "ImageProblem",
    "Job",
    "LocalFileError",
    "Output",
    "Preset",
    "ProgressMessage",
    "ServerUnreachable",
    "Upload",
]
