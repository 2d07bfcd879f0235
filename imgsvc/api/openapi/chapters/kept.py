"""What the server keeps by name, and what it tells of."""

from __future__ import annotations

from imgsvc import errors
from imgsvc.api.deliveries import DELIVERIES_AT_ONCE
from imgsvc.api.openapi import examples
from imgsvc.api.openapi.bodies import image_body, json_body
from imgsvc.api.openapi.operations import Operation, Tag, look
from imgsvc.api.openapi.parameters import CURSOR, OF_FILES, limit
from imgsvc.api.openapi.refusals import BODY, CHANGE, NOT_FOUND, OF_IMAGE, SAFE, refused
from imgsvc.api.openapi.responses import NO_CONTENT, file_answers, json_answer
from imgsvc.api.openapi.vocabulary import ref
from imgsvc.config import LimitSettings
from imgsvc.service.watermarks import MAX_BYTES, MAX_SIDE

_PRESET = "/api/v1/presets/{name}"
_WATERMARK = "/api/v1/watermarks/{name}"
_READONLY = refused(errors.PresetReadonly)


def operations(_limits: LimitSettings) -> list[Operation]:
    return [*_presets(), *_watermarks(), *_deliveries()]


def _presets() -> list[Operation]:
    return [
        look(
            path="/api/v1/presets",
            name="listPresets",
            tag=Tag.PRESETS,
            summary="List all presets, by name",
            answer=json_answer("PresetList", "The presets."),
        ),
        look(
            path=_PRESET,
            name="getPreset",
            tag=Tag.PRESETS,
            summary="Look at a preset",
            answer=json_answer("Preset", "The preset."),
        ),
        Operation(
            method="put",
            path=_PRESET,
            name="savePreset",
            tag=Tag.PRESETS,
            summary="Keep a recipe by name",
            description="Jobs hold on to the recipe that they were submitted with. What a GET "
            "shows of a preset is taken too.",
            body=json_body(
                {"anyOf": [ref("Recipe"), ref("PresetSpec")]}, examples.RECIPE, "The recipe."
            ),
            answers={
                200: json_answer("Preset", "The preset, in the place of a former one."),
                201: json_answer("Preset", "The new preset.", "Location"),
            },
            refusals=CHANGE | BODY | _READONLY | refused(errors.InvalidRecipe),
        ),
        Operation(
            method="delete",
            path=_PRESET,
            name="deletePreset",
            tag=Tag.PRESETS,
            summary="Delete a preset",
            answers={204: NO_CONTENT},
            refusals=CHANGE | NOT_FOUND | _READONLY,
        ),
    ]


def _watermarks() -> list[Operation]:
    return [
        look(
            path="/api/v1/watermarks",
            name="listWatermarks",
            tag=Tag.WATERMARKS,
            summary="List all watermarks, by name",
            answer=json_answer("WatermarkList", "The watermarks."),
        ),
        look(
            path=_WATERMARK,
            name="getWatermark",
            tag=Tag.WATERMARKS,
            summary="Look at a watermark",
            answer=json_answer("KeptWatermark", "The watermark."),
        ),
        Operation(
            method="put",
            path=_WATERMARK,
            name="saveWatermark",
            tag=Tag.WATERMARKS,
            summary="Keep a picture by name",
            description="Kept as PNG. Jobs hold on to the picture that the name meant when they "
            "were submitted.",
            body=image_body(
                f"A picture of at most {MAX_BYTES} bytes, in any format that is read here; one "
                f"with a side of more than {MAX_SIDE} pixels is made smaller.",
                with_form=False,
            ),
            answers={
                200: json_answer("KeptWatermark", "The picture, in the place of a former one."),
                201: json_answer("KeptWatermark", "The new watermark.", "Location"),
            },
            refusals=CHANGE | BODY | OF_IMAGE | refused(errors.QueueFull),
        ),
        Operation(
            method="delete",
            path=_WATERMARK,
            name="deleteWatermark",
            tag=Tag.WATERMARKS,
            summary="Delete a watermark",
            answers={204: NO_CONTENT},
            refusals=CHANGE | NOT_FOUND,
        ),
        Operation(
            method="get",
            path=f"{_WATERMARK}/image",
            name="getWatermarkImage",
            tag=Tag.WATERMARKS,
            summary="Download the picture",
            parameters=OF_FILES,
            answers=file_answers(["image/png"], with_digest=False),
            refusals=SAFE | NOT_FOUND,
        ),
    ]


def _deliveries() -> list[Operation]:
    return [
        look(
            path="/api/v1/jobs/{id}/deliveries",
            name="listDeliveries",
            tag=Tag.DELIVERIES,
            summary="List what a job's webhook was sent, newest first",
            parameters=[limit(DELIVERIES_AT_ONCE), CURSOR],
            answer=json_answer("DeliveryList", "A page of messages.", "Link"),
        ),
        Operation(
            method="post",
            path="/api/v1/jobs/{id}/deliveries/{delivery_id}/redeliver",
            name="redeliver",
            tag=Tag.DELIVERIES,
            summary="Send a message again",
            description="At once, and as often as a new one, under its old id.",
            answers={202: json_answer("Delivery", "The message, which is on its way.")},
            refusals=CHANGE | NOT_FOUND,
        ),
    ]
