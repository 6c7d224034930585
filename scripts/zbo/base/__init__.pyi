from .config import load as load
from .errors import InputError as InputError
from .settings import Study as Study
from .storage import facts as facts, read as read, write as write
