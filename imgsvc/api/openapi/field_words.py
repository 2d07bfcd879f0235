"""What clients are told of each field that they may send."""

from __future__ import annotations

WORDS = {
    "Recipe": "What to make of every image of a job.",
    "Recipe.variants": "One output each. Their names are unique.",
    "Variant": (
        "One output to make from every image. Steps always run in this order: decode, orient, "
        "crop, trim, resize, rotate and flip, colour, blur and sharpen, pad and flatten, "
        "watermark, encode."
    ),
    "Variant.name": "1 to 40 of a-z, 0-9, _ and -, beginning with a letter or a digit.",
    "Variant.width": "Pixels. One of width and height alone keeps the ratio, neither the size.",
    "Variant.height": "Pixels.",
    "Variant.mode": (
        "fit: inside the box, ratio kept. fill: covers the box, cropped by gravity. pad: as fit, "
        "then padded with background to the box. force: exactly the box, ratio lost."
    ),
    "Variant.enlarge": "Whether fit and fill may go beyond the source.",
    "Variant.gravity": (
        "What fill keeps: a side or corner, what draws attention, what has most entropy, or a "
        "point of the picture."
    ),
    "Variant.crop": "Cut out first, in pixels of the source after orientation.",
    "Variant.trim": "Cut away a uniform border: true, or how much it may vary. null is off.",
    "Variant.rotate": "Degrees clockwise, after EXIF orientation, which is always applied.",
    "Variant.flip": "Upside down.",
    "Variant.flop": "Left to right.",
    "Variant.background": "Of padding, and under what is transparent where there is no alpha.",
    "Variant.grayscale": "Without colours.",
    "Variant.blur": "Sigma in pixels of the result. null is off.",
    "Variant.sharpen": "Sigma in pixels of the result, or true for the usual setting.",
    "Variant.watermark": "Laid over the result.",
    "Variant.format": "same: the input's, else png with alpha and jpeg without.",
    "Variant.quality": "null: the format's usual one. Ignored with a warning where it has none.",
    "Variant.lossless": "Where the encoder can.",
    "Variant.effort": "Mapped to the encoder's own range. null: its usual one.",
    "Variant.progressive": "JPEG and PNG.",
    "Variant.max_bytes": (
        "The best quality whose file fits; a warning where even the lowest does not."
    ),
    "Variant.metadata": (
        "What is kept. GPS is dropped unless all; with all the ICC profile is kept, else pixels "
        "are converted to sRGB."
    ),
    "Variant.animation": (
        "Which frames. null: all where the format can, else the first, with a warning."
    ),
    "Point": "A point of the picture: 0, 0 is its upper left corner, 1, 1 its lower right.",
    "Point.x": "Share of the width.",
    "Point.y": "Share of the height.",
    "Crop": "A rectangle in pixels.",
    "Crop.left": "From the left edge.",
    "Crop.top": "From the upper edge.",
    "Crop.width": "Of the rectangle.",
    "Crop.height": "Of the rectangle.",
    "Watermark": "A picture kept on the server, or a text, laid over the variant.",
    "Watermark.preset_image": "Name of a watermark that is kept; see /api/v1/watermarks.",
    "Watermark.text": "Line breaks, but no other control characters.",
    "Watermark.gravity": "Where it stands: a side or corner, the centre, or a point.",
    "Watermark.opacity": "0 is invisible, 1 hides what is below.",
    "Watermark.scale": "Its width as a share of the variant's.",
    "Watermark.margin": "Pixels to the edge.",
    "JobSpec": "A job as it is asked for.",
    "JobSpec.images": "In the order that gives them their index.",
    "JobSpec.preset": "Name of a preset; standard where neither it nor a recipe is given.",
    "JobSpec.recipe": "An own recipe, in the place of a preset.",
    "JobSpec.label": "Free text to find the job by.",
    "JobSpec.priority": "Work of a higher one goes first.",
    "JobSpec.open": "More images will be appended; the job is final only after it is closed.",
    "JobSpec.webhook": "Whom to tell of the job's end, or of its images.",
    "JobSpec.webhook_url": "Is sent job.finished when the job is final.",
    "JobSpec.retain_s": "Seconds to keep it after its end; 0 for ever, null as configured.",
    "JobSpec.analyze": "Say of every image what it is like.",
    "JobSpec.reuse": "Take over what was made of the same bytes before.",
    "ImageSpec": "One image: its bytes, or where the server fetches them from.",
    "ImageSpec.data": "Base64, or a data: URI.",
    "ImageSpec.url": "http or https, of a public address.",
    "ImageSpec.name": "As results are called; null: image-<index>, or the URL's last part.",
    "BatchSpec": "A batch as it is asked for.",
    "BatchSpec.images": "In the order that gives them their index.",
    "BatchImageSpec": "One image: its bytes, or where the server fetches them from.",
    "BatchImageSpec.base64": "Base64, with or without the prefix of a data: URI.",
    "BatchImageSpec.url": "http or https, of a public address.",
    "BatchImageSpec.name": "As results are called; null: image-<index>, or the URL's last part.",
    "WebhookSpec": "Who is told, and of what.",
    "WebhookSpec.url": "http or https, without a user and a password.",
    "WebhookSpec.events": "Which messages are sent.",
    "WebhookSpec.secret": (
        "whsec_ and 24 to 64 bytes in base64: signs this job's messages. null: the server's own."
    ),
    "PresetSpec": "A preset as it is shown; its name must be that of the address.",
    "PresetSpec.recipe": "What to make.",
    "PresetSpec.name": "Of the address, or left out.",
    "PresetSpec.readonly": "Own presets can be changed.",
    "PresetSpec.updated_at": "Not taken over.",
    "RetrySpec": "Which images are tried again; all that failed or were cancelled without either.",
    "RetrySpec.codes": "Those that failed with one of these.",
    "RetrySpec.indexes": "Those at these places.",
    "WorkersSpec": "How many workers there are to be.",
    "WorkersSpec.size": "May be bounded by workers.min and workers.max of the settings.",
    "Priority": "Of a job.",
    "WebhookEvent": "job.finished: once, with the job. image.finished: up to 100 images each.",
    "ImageErrorCode": "Why an image failed.",
}
"""By model, or model and field."""
