import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub


def image_spec(shape, name=None, input_name="images", default_size=None, tags=()):
    def module_fn():
        images = tf1.placeholder(tf.float32, shape)
        hub.add_signature(name, inputs={input_name: images}, outputs=tf.zeros([1, 5]))
        if default_size:
            info = hub.ImageModuleInfo()
            info.default_image_size.height, info.default_image_size.width = default_size
            hub.attach_image_module_info(info)

    return hub.create_module_spec(module_fn, [(tags, {})])


def test_size_and_channels_are_those_of_the_input():
    spec = image_spec([None, 2, 4, 3])
    assert hub.get_expected_image_size(spec) == [2, 4]
    assert hub.get_num_image_channels(spec) == 3


def test_a_module_tells_the_same_as_its_spec():
    spec = image_spec([None, 2, 4, 1], default_size=(7, 9), tags={"train"})
    with tf.Graph().as_default():
        module = hub.Module(spec, tags={"train"})
        assert hub.get_expected_image_size(module) == [7, 9]
        assert hub.get_num_image_channels(module) == 1


def test_the_attached_size_comes_before_the_input():
    assert hub.get_expected_image_size(image_spec([None, None, None, 3], default_size=(7, 9))) == [7, 9]
    assert hub.get_expected_image_size(image_spec([None, 2, 4, 3], default_size=(7, 9))) == [7, 9]


@pytest.mark.parametrize("default_size", [(0, 0), (5, 0)])
def test_an_attached_size_that_is_not_whole_does_not_count(default_size):
    assert hub.get_expected_image_size(image_spec([None, 2, 4, 3], default_size=default_size)) == [2, 4]


def test_signature_and_input_may_be_named():
    spec = image_spec([None, 2, 4, 3], name="image_feature_vector", input_name="photo")
    assert hub.get_expected_image_size(spec, "image_feature_vector", "photo") == [2, 4]
    assert hub.get_num_image_channels(spec, signature="image_feature_vector", input_name="photo") == 3


@pytest.mark.parametrize("shape", [None, [2, 4, 3], [None, 2, None, 3], [None, None, 4, 3]])
def test_an_unknown_size_is_an_error(shape):
    with pytest.raises(errors.SignatureError, match="with known height and width, or an attached") as raised:
        hub.get_expected_image_size(image_spec(shape))
    assert f"Shape of module input is {tf.TensorShape(shape)}, " in str(raised.value)


@pytest.mark.parametrize("shape", [None, [2, 4, 3], [None, 2, 4, None]])
def test_an_unknown_number_of_channels_is_an_error(shape):
    with pytest.raises(errors.SignatureError, match="with known num_channels") as raised:
        hub.get_num_image_channels(image_spec(shape))
    assert f"Shape of module input is {tf.TensorShape(shape)}, " in str(raised.value)


@pytest.mark.parametrize("function", [hub.get_expected_image_size, hub.get_num_image_channels])
def test_unknown_names_are_errors_that_tell_the_known_ones(function):
    spec = image_spec([None, 2, 4, 3], input_name="photo")
    with pytest.raises(ValueError, match=r"missing input 'images' in signature 'default'; .* \['photo'\]"):
        function(spec)
    with pytest.raises(ValueError, match=r"'encode' is missing from meta graph .* it has \['default'\]"):
        function(spec, signature="encode")
    with pytest.raises(KeyError, match=r"No such graph variant: tags=\[\]. The module has \['train'\]"):
        function(image_spec([None, 2, 4, 3], tags={"train"}))


def test_only_an_image_module_info_can_be_attached():
    with pytest.raises(errors.AttachmentError, match="called with 3; it takes a hub.ImageModuleInfo"):
        hub.attach_image_module_info(3)


def test_the_attached_size_is_kept_on_disk(tmp_path):
    spec = image_spec([None, None, None, 3], default_size=(7, 9))
    with tf.Graph().as_default(), tf1.Session() as session:
        hub.Module(spec).export(str(tmp_path / "module"), session)
    assert hub.get_expected_image_size(hub.load_module_spec(str(tmp_path / "module"))) == [7, 9]
