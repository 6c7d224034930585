from .images import ImageSet as ImageSet, ImageSettings as ImageSettings, load as load
