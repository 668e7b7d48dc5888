"""The blob doors: a photo put into `photos`, and a file of orders put into `order-imports`.

Both take the SDK's client instead of the content, so that nothing large travels through the host: the job reads its
blob when it runs. BLOB_TRIGGER_SOURCE says how the host learns of blobs, since not every plan has both ways.
"""

import azure.durable_functions as df
import azurefunctions.extensions.bindings.blob as blob

from jobs import uploads
from jobs.settings import settings

blueprint = df.Blueprint()

SOURCE = settings().blob_trigger_source


@blueprint.blob_trigger(arg_name="photo", path="photos/{name}", connection="AzureWebJobsStorage", source=SOURCE)
@blueprint.durable_client_input(client_name="client")
async def take_photo(photo: blob.BlobClient, client: df.DurableOrchestrationClient):
    await uploads.take(photo.container_name, photo.blob_name, client)


@blueprint.blob_trigger(arg_name="file", path="order-imports/{name}", connection="AzureWebJobsStorage", source=SOURCE)
@blueprint.durable_client_input(client_name="client")
async def take_order_import(file: blob.BlobClient, client: df.DurableOrchestrationClient):
    await uploads.take(file.container_name, file.blob_name, client)
