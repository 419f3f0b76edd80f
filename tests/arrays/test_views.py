"""Parts of arrays: what an index selects is what it selects in NumPy, in arrays of every layout."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt.ir.builder import FunctionBuilder, constant
from smelt.ir.verifier import MalformedError, verify
from smelt.types import SCALARS, Array, bfloat16, boolean, dtype_of, none

pytestmark = pytest.mark.once

NUMPY_SCALARS = [scalar for scalar in SCALARS if scalar != bfloat16]


def arranged(values, layout):
    """`values`, a C-ordered array of two dimensions, in memory of another layout."""
    if layout == "C":
        return values.copy()
    if layout == "F":
        return values.copy(order="F")
    height, width = values.shape
    if layout == "strided":
        room = np.zeros((2 * height, 3 * width), values.dtype)
        part = room[::2, 1::3]
    else:
        room = np.zeros((height, width), values.dtype)
        part = room[::-1, ::-1]
    part[...] = values
    return part


def values_of(dtype):
    numbers = np.arange(-6, 6).reshape(3, 4)
    if dtype.kind == "c":
        return (numbers + 1j * numbers[::-1]).astype(dtype)
    return (numbers % 3 == 0) if dtype.kind == "b" else numbers.astype(dtype)


LAYOUTS = ("C", "F", "strided", "reversed")


def copy_elements(i, out, values):
    for j in range(values.shape[1]):
        out[i, j] = values[i, j]
    out[i, 0] = values[i][-1]


def copy_in_every_layout(i, c, c_values, f, f_values, strided, strided_values, backward, backward_values):
    copy_elements(i, c, f_values)
    copy_elements(i, f, strided_values)
    copy_elements(i, strided, backward_values)
    copy_elements(i, backward, c_values)


def check_every_layout(values, same_as_python):
    pairs = [(arranged(np.zeros_like(values), layout), arranged(values, layout)) for layout in LAYOUTS]
    same_as_python(copy_in_every_layout, 3, *[array for pair in pairs for array in pair])


@pytest.mark.parametrize("scalar", NUMPY_SCALARS, ids=str)
def test_elements_of_every_type_are_read_and_written_in_every_layout(scalar, same_as_python):
    check_every_layout(values_of(dtype_of(scalar)), same_as_python)


def test_elements_of_bfloat16_are_read_and_written_in_every_layout(same_as_python):
    ml_dtypes = importlib.import_module("ml_dtypes")
    check_every_layout(np.arange(12).reshape(3, 4).astype(ml_dtypes.bfloat16), same_as_python)


def write_slice(_, out, values, start, stop, step):
    part = values[start:stop:step]
    out[0] = len(part)
    out[1] = part.size
    for j in range(len(part)):
        out[j + 2] = part[j]


limits = st.none() | st.integers(-9, 9) | st.sampled_from((2**62, -(2**62), 2**63 - 1, -(2**63) + 1))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(length=st.integers(0, 7), start=limits, stop=limits, step=limits.filter(lambda step: step != 0))
def test_a_slice_with_limits_known_at_run_time_is_pythons(length, start, stop, step, same_as_python):
    values = np.arange(10, 10 + length, dtype=np.int32)
    same_as_python(write_slice, 1, np.zeros(20, np.int32), values, start, stop, step)


def write_constant_slices(_, out, values):
    out[0] = values[1:][0]
    out[1] = values[:-1].size
    out[2] = values[::2].size
    out[3] = values[::-1][0]
    out[4] = values[-3:][0]
    out[5] = values[100:].size
    out[6] = values[-100:2].size
    out[7] = values[5:1:-2][1]
    out[8] = values[5::-3].size
    out[9] = values[:2:-1][-1]
    out[10] = values[1:6][1:-1][::2][-1]
    out[11] = values[3:1].size


def test_a_slice_with_constant_limits_is_pythons(same_as_python):
    same_as_python(write_constant_slices, 1, np.zeros(12, np.int64), np.arange(7) * 11)


def write_facts(_, out, cube, k):
    write_facts_of(out, 0, cube)
    write_facts_of(out, 1, cube[1])
    write_facts_of(out, 2, cube[k, 1])
    write_facts_of(out, 3, cube[k:])
    write_facts_of(out, 4, cube[:, 1])
    write_facts_of(out, 5, cube[..., 0])
    write_facts_of(out, 6, cube[1, 1:3])
    write_facts_of(out, 7, cube[1:, :, 1:])
    write_facts_of(out, 8, cube[::-1])
    write_facts_of(out, 9, cube.T)
    write_facts_of(out, 10, cube.T[0])
    write_facts_of(out, 11, cube.T[..., k])
    write_facts_of(out, 12, cube.T[1:, :, 0])
    write_facts_of(out, 13, cube[None])
    write_facts_of(out, 14, cube[:, np.newaxis, k])
    write_facts_of(out, 15, cube[k, ..., 1:])
    write_facts_of(out, 16, cube[0, :, ::2].T)
    write_facts_of(out, 17, cube[(k, 0)])
    write_facts_of(out, 18, cube[:])


def write_facts_of(out, row, array):
    out[row, 0] = array.ndim
    out[row, 1] = array.size
    out[row, 2] = len(array)
    for axis in range(array.ndim):
        out[row, 3 + axis] = array.shape[axis]
        if array.shape[axis] > 1:
            # NumPy gives an axis of one any stride.
            out[row, 7 + axis] = array.strides[axis]
    out[row, 11] = corners(array)


def corners(array):
    if array.ndim == 1:
        return array[0] + 100 * array[-1]
    if array.ndim == 2:
        return array[0, 0] + 100 * array[-1, 0] + 10000 * array[0, -1]
    if array.ndim == 3:
        return array[0, 0, 0] + 100 * array[-1, 0, 0] + 10000 * array[0, -1, 0] + 1000000 * array[0, 0, -1]
    return array[0, 0, 0, 0] + 100 * array[-1, -1, -1, -1]


def write_sums(i, out, cube):
    total = 0.0
    for plane in cube:
        for number, row in enumerate(plane):
            for value in row:
                total += value * (number + 1)
        for one, other in zip(plane, reversed(plane)):  # noqa: B905 - a kernel's zip takes no keywords
            total += one[0] * other[-1]
    out[i] = total


def test_looping_over_an_array_gives_its_parts(same_as_python):
    cube = np.arange(24.0).reshape(2, 3, 4)
    same_as_python(write_sums, 1, np.zeros(1), cube)
    same_as_python(write_sums, 1, np.zeros(1), cube.T[::-1])


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_parts_have_the_shape_the_strides_and_the_elements_that_numpys_have(order, same_as_python):
    cube = np.arange(24.0).reshape(2, 3, 4)
    if order == "F":
        cube = np.asfortranarray(cube)
    elif order == "strided":
        cube = np.arange(24.0 * 4).reshape(4, 3, 8)[::2, ::-1, 1::2]
    same_as_python(write_facts, 1, np.zeros((19, 12)), cube, 1)


def write_attributes(_, out, array, nothing):
    out[0] = array.itemsize
    out[1] = array.dtype == np.float32
    out[2] = nothing.ndim
    out[3] = nothing.size
    out[4] = nothing[()]
    nothing[()] = 7
    nothing[...] += 1
    out[5] = nothing[()]
    out[6] = array[..., None, None].shape[1]


def test_attributes_and_arrays_without_dimensions(same_as_python):
    same_as_python(write_attributes, 1, np.zeros(7), np.ones(3, np.float32), np.array(5.0))


def choose_part(i, out, values):
    part = values if i > 1 else values[::2]
    for _ in range(i):
        part = part[1:]
    out[i] = part[0] + part.size


def test_a_variable_can_be_parts_of_different_layouts(same_as_python):
    same_as_python(choose_part, 4, np.zeros(4), np.arange(8.0))


# Assignment


def assign_parts(i, out, row, number):
    out[i] = row
    out[i, ::2] = number
    out[i, 1:3] += row[1:3]
    out[i, -1:] = row[0]
    out[i][0:2] *= 3


def assign_blocks(i, out, row, _):
    out[:, i] = (1, 2, 3)
    out[i:, 1:] = row[1:]
    out[...] += 0.5
    out.T[2] = i
    out[0] = ((1, 2)[int(i > 1)], *row[:1].shape, 8, 9)


@pytest.mark.parametrize("body", [assign_parts, assign_blocks])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_assigning_to_a_part_assigns_each_of_its_elements(body, layout, same_as_python):
    out = arranged(np.zeros((3, 4), np.float32), layout)
    same_as_python(body, 3, out, np.arange(4, dtype=np.float32) + 1, 7)


def assign_converted(_, out, values, flags):
    out[:] = values
    flags[:] = values
    flags[:1] = 2


def test_elements_are_converted_when_they_are_assigned(same_as_python):
    same_as_python(assign_converted, 1, np.zeros(4, np.int16), np.array([1.5, -2.5, 0, 3]), np.zeros(4, bool))


def assign_broadcast(_, out, row, column, single):
    out[1:3] = row
    out[:, 0] = 1
    out[1:, 1:] += column
    out[0] -= single
    out[1:, 2:] = column
    out[2:] *= row[None]
    out[..., 1] /= 2


def assign_tuples(_, out, row, column, single):
    out[...] = (1, 2, 3, 4)
    out[1:] = ((5, 6, 7, 8), (9, int(row[0]), 11, 12))
    out[:, 1:] += (10, 20, 30)
    out[1:, :2] = ((1,), (2,))
    out[:2, 2] = (column[0, 0] + single[0],)


@pytest.mark.parametrize("body", [assign_broadcast, assign_tuples])
@pytest.mark.parametrize("layout", ["C", "reversed"])
def test_what_is_assigned_to_a_part_is_repeated_as_numpy_does(body, layout, same_as_python):
    out = arranged(np.arange(12, dtype=np.float32).reshape(3, 4), layout)
    column = np.arange(6.0)[::2].reshape(3, 1) + 1
    same_as_python(body, 1, out, np.arange(4, dtype=np.float32) + 1, column[1:], np.array([7.0]))


extents = st.integers(0, 3)


@st.composite
def shapes(draw):
    """A shape, and another one that NumPy repeats to it, or not."""
    shape = draw(st.tuples(extents, extents, extents))
    return shape, tuple(draw(st.sampled_from([extent, extent, 1, 2])) for extent in shape[draw(st.integers(0, 3)) :])


def assign_whole(_, out, values):
    out[...] = values


@smelt.kernel
def assign_whole_kernel(out, values):
    out[...] = values


@settings(max_examples=40, derandomize=True, deadline=None)
@given(shapes())
def test_shapes_are_repeated_or_refused_as_numpys(pair):
    shape, given_shape = pair
    values = np.arange(1.0, 1 + np.prod(given_shape, dtype=int)).reshape(given_shape)
    out, expected = np.zeros(shape), np.zeros(shape)
    try:
        assign_whole(0, expected, values)
    except ValueError:
        with pytest.raises(ValueError, match="could not broadcast: arrays of different shapes"):
            assign_whole_kernel[1](out, values)
    else:
        assign_whole_kernel[1](out, values)
    np.testing.assert_array_equal(out, expected)


def variables_in_place(i, out, values):
    row = out[i]
    row += 1
    row[1:] *= values[1:]
    part = row[::2]
    part -= 3
    total = values
    total += i


def test_an_operation_in_place_on_a_variable_changes_the_array(same_as_python):
    same_as_python(variables_in_place, 2, np.arange(8.0).reshape(2, 4), np.arange(4.0))


@smelt.kernel
def repeat_within(values):
    values[0:3] += values[1:2]


def test_an_element_that_is_repeated_over_itself_in_place_raises():
    with pytest.raises(ValueError, match="the parts overlap; copy them in a loop"):
        repeat_within[1](np.arange(3.0))


def store_through_mask(_, out, cube, mask, rows):
    out[mask] = 2
    out[mask] -= 0.5
    cube[mask] += 1.5
    cube[1:][rows[1:]] *= 2
    rows[rows] = False
    mask[:, 0][mask[:, 1]] = True


@pytest.mark.parametrize("layout", ["F", "strided"])
def test_a_number_is_stored_through_a_mask_where_it_is_true(layout, same_as_python):
    out = arranged(np.arange(12.0).reshape(3, 4), layout)
    mask = np.random.default_rng(1).integers(0, 2, (3, 4)).astype(bool)
    cube = np.arange(24.0).reshape(3, 4, 2)
    same_as_python(store_through_mask, 1, out, cube, mask, np.array([True, False, True]))


@smelt.kernel
def mask_of_another_shape(values, mask):
    values[mask] = 1


def test_a_mask_of_another_shape_raises():
    values = np.zeros((3, 4))
    for shape in [(2,), (4,), (3, 3), (4, 4)]:
        mask = np.ones(shape, bool)
        with pytest.raises(IndexError):
            values[mask] = 1
        with pytest.raises(IndexError, match="the mask has another shape than the array"):
            mask_of_another_shape[1](values, mask)
    assert not values.any()


def unpack_rows(_, out, rows, pair):
    x, y = pair
    out[0] = x - y
    (a, b, c), second = rows
    out[1] = a + 10 * b + 100 * c
    out[2], out[3] = second[1], second[2]
    for k, (left, middle, right) in enumerate(rows):
        out[4 + k] = left * middle - right
    first, second = second[::2]
    out[6] = first * second


def test_arrays_are_unpacked(same_as_python):
    same_as_python(unpack_rows, 1, np.zeros(7), np.arange(6.0).reshape(2, 3), np.array([5, 7], np.int16))
    same_as_python(unpack_rows, 1, np.zeros(7), np.arange(6.0).reshape(3, 2).T, np.array([5, 7], np.int16)[::-1])


@smelt.kernel
def unpack_two(out, values):
    x, y = values
    out[0] = x + y


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_of_another_length_raises_what_python_raises(count):
    values = np.zeros(count)
    with pytest.raises(ValueError, match=r"values to unpack \(expected 2") as expected:
        _x, _y = values
    with pytest.raises(ValueError, match=r"values to unpack \(expected 2\)") as found:
        unpack_two[1](np.zeros(1), values)
    assert str(found.value).split(" (")[0] == str(expected.value).split(" (")[0]


def shift_forward(_, values):
    values[1:] = values[:-1]


def shift_backward(_, values):
    values[:-2] = values[2:]


def shift_columns(_, values):
    values[:, 1:] = values[:, :-1]


def interleave(_, values):
    values[::2] = values[1::2]
    values[:3] = values[:3]


def add_neighbours(_, values):
    values[1:] += values[:-1]


@pytest.mark.parametrize("body", [shift_forward, shift_backward, interleave, add_neighbours])
def test_copying_within_one_array_reads_all_before_it_writes(body, same_as_python):
    same_as_python(body, 1, np.arange(8.0))
    same_as_python(body, 1, np.arange(24.0).reshape(8, 3))


def test_columns_are_shifted_as_in_numpy(same_as_python):
    same_as_python(shift_columns, 1, np.arange(24.0).reshape(6, 4))


@smelt.kernel
def reverse_in_place(values):
    values[:] = values[::-1]


def test_a_copy_within_one_array_that_no_order_makes_right_raises():
    values = np.arange(5.0)
    with pytest.raises(ValueError, match="the parts overlap; copy them in a loop"):
        reverse_in_place[1](values)
    np.testing.assert_array_equal(values, np.arange(5.0))


@smelt.kernel
def assign_row(out, row):
    out[smelt.grid(1)] = row


@smelt.kernel
def assign_items(out):
    out[smelt.grid(1)] = (1, 2, 3)


def test_arrays_of_different_shapes_raise():
    with pytest.raises(ValueError, match="could not broadcast: arrays of different shapes"):
        assign_row[2](np.zeros((2, 3)), np.ones(4))
    with pytest.raises(ValueError, match="3 items do not fit into this part"):
        assign_items[1](np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("axes", "positions", "dimensions", "message"),
    [
        (("index",), 1, 0, "view takes 1 axes of an array with 2"),
        (("index", "whole"), 0, 1, "view has 1 positions, not 0"),
        (("slice", "whole"), 1, 2, "view has 3 positions, not 1"),
        (("index", "whole"), 1, 2, "the result of view is an array with 1 axes"),
        (("new", "whole", "whole"), 0, 2, "the result of view is an array with 3 axes"),
        (("row", "whole"), 0, 1, "the axes of view are words of index, slice, whole, new"),
    ],
)
def test_the_verifier_knows_what_a_part_takes(axes, positions, dimensions, message):
    builder = FunctionBuilder("test")
    array = builder.value(builder.parameter("array", Array(smelt.float32, 2)))
    position = builder.value(constant(0))
    builder.emit("view", (array, *[position] * positions), Array(smelt.float32, dimensions), axes=axes)
    builder.ret(None)
    with pytest.raises(MalformedError, match=message):
        verify(builder.finish(none))


# What is refused


def line_of(error):
    return str(error).splitlines()[1].strip()


@smelt.kernel
def write_to_part_of_read_only(values):
    row = values[0]
    row[1:][0] = 1


def test_a_part_of_a_read_only_array_is_read_only():
    values = np.zeros((2, 3))
    values.flags.writeable = False
    with pytest.raises(smelt.KernelError, match=r"the array is read-only \(float64\[:\] read-only\)") as error:
        write_to_part_of_read_only[1](values)
    assert line_of(error.value) == "row[1:][0] = 1"
    assert error.value.help == "pass an array that can be written"


@smelt.kernel
def too_many(values):
    values[0, 1, 2] = 0


@smelt.kernel
def two_ellipses(values):
    values[..., 0, ...] = 0


@smelt.kernel
def zero_step(values):
    values[::0] = 1


@smelt.kernel
def index_with_array(values):
    values[values] = 1


@smelt.kernel
def index_with_float(values):
    values[0:1.5] = 1


@smelt.kernel
def index_nested(values):
    values[(0, 1), 0] = 1


@smelt.kernel
def unknown_field(values):
    values["x"] = 1


@smelt.kernel
def too_many_axes(values):
    values[0] = values


@smelt.kernel
def loop_over_nothing(values):
    for value in values[0, 0, ...]:
        values[0, 0] = value


@smelt.kernel
def tuple_into_element(values):
    values[0, 0] = (1, 2)


@smelt.kernel
def attribute_of_array(values):
    values[0].shape = 3


@smelt.kernel
def item_of_shape(values):
    values.shape[0] = 3


@smelt.kernel
def unknown_attribute(values):
    values[0, 0] = values.flat


@smelt.kernel
def unpack_star(values):
    values[0], *_rest = values[1]


@smelt.kernel
def ragged(values):
    values[0:2] = ((1, 2), 3)


@smelt.kernel
def too_deep(values):
    values[0] = ((1, 2), (3, 4))


@smelt.kernel
def tuple_of_rows(values):
    values[0:2] = (values[1], values[0])


@smelt.kernel
def part_of_mask(values):
    values[values[0]][0] = 1


@smelt.kernel
def read_of_mask(values):
    values[0, 0] = values[:, 0][values[:, 1]]


@smelt.kernel
def array_through_mask(values):
    values[values] = values[0]


@smelt.kernel
def tuple_through_mask(values):
    values[values] = (True, False)


@smelt.kernel
def mask_with_index(values):
    values[values[0], 0] = True


MASKS = [
    (part_of_mask, "a bool[:, :] can't be indexed with a bool[:]", "or assign one number with a[mask] = number"),
    (read_of_mask, "a bool[:] strided can't be indexed with a bool[:] strided", "test the mask for each"),
    (array_through_mask, "a bool[:] can't be assigned through a mask", "loop over the elements and test the mask"),
    (tuple_through_mask, "a (bool, bool) can't be assigned through a mask", "assign one number"),
    (mask_with_index, "a bool[:, :] can't be indexed with a bool[:]", "test the mask for each"),
]


@pytest.mark.parametrize(("kernel", "message", "help_"), MASKS, ids=lambda value: getattr(value, "name", None))
def test_what_a_mask_can_not_do_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(boolean[:, :])
    assert error.value.message == message
    assert help_ in error.value.help


@smelt.kernel
def divide_integers(values):
    values[...] /= 2


@smelt.kernel
def add_float(values):
    values[0] += 0.5


@smelt.kernel
def negative(values):
    row = values[0]
    row -= smelt.int32(1)


@pytest.mark.parametrize("kernel", [divide_integers, add_float, negative], ids=lambda kernel: kernel.name)
def test_an_operation_in_place_keeps_the_sort_of_number_as_numpys(kernel):
    with pytest.raises(
        smelt.KernelError, match=r"= makes a \w+ here, which elements of type uint16 can't hold"
    ) as error:
        kernel.compile(smelt.uint16[:, :])
    assert error.value.help == "loop over the elements, and convert each: a[i] = int(...)"


@smelt.kernel
def variable_read_only(values):
    row = values[0]
    row += 1


def test_a_variable_that_is_a_read_only_array_is_not_changed_in_place():
    values = np.zeros((2, 3))
    values.flags.writeable = False
    with pytest.raises(smelt.KernelError, match=r"the array( row)? is read-only"):
        variable_read_only[1](values)


@pytest.mark.parametrize(
    ("kernel", "message", "help_"),
    [
        (unpack_star, "a float64[:] can't be unpacked with a star: how many elements it has is known", "rest = a[1:]"),
        (ragged, "a ((weak int, weak int), weak int) has no one shape", "tuples whose items are all numbers"),
        (too_deep, "a ((weak int, weak int), (weak int, weak int)) can't be assigned to a float64[:]", ""),
        (tuple_of_rows, "a tuple with arrays in it can't be assigned to a part", "assign each array"),
        (too_many, "a float64[:, :] takes 2 indices, not 3", ""),
        (two_ellipses, "an index has at most one ellipsis", "write `:` for each axis"),
        (zero_step, "slice step cannot be zero", ""),
        (index_with_array, "a float64[:, :] can't be indexed with a float64[:, :]", "index with integers and slices"),
        (index_with_float, "an index is an integer, not a weak float", "int()"),
        (index_nested, "a float64[:, :] can't be indexed with a (weak int, weak int)", "index with integers"),
        (unknown_field, "a float64[:, :] has no field 'x'", ""),
        (too_many_axes, "a float64[:, :] can't be assigned to a float64[:]", "index it down to as many axes"),
        (loop_over_nothing, "a float64[()] can't be looped over", "an array with dimensions"),
        (tuple_into_element, "a (weak int, weak int) can't be assigned to an element of type float64", ""),
        (attribute_of_array, "the attribute shape of a float64[:] can't be assigned", "make a new value"),
        (item_of_shape, "the items of a (weak int, weak int) can't be assigned", "make a new one"),
        (unknown_attribute, "a float64[:, :] has no attribute flat", ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_an_index_can_not_be_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(smelt.float64[:, :])
    assert error.value.message.startswith(message)
    assert help_ in error.value.help
    assert error.value.line == kernel.function.__code__.co_firstlineno + 2


@smelt.kernel
def run_time_step(values, step):
    values[::step] = 1


def test_a_step_that_turns_out_to_be_zero_raises():
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        run_time_step[1](np.zeros(3), 0)


@smelt.kernel
def beyond(values):
    values[1:][3] = 1


def test_an_index_beyond_a_part_raises():
    with pytest.raises(IndexError, match=r"index is out of bounds for dimension 0 of float64\[:\]"):
        beyond[1](np.zeros(4))
