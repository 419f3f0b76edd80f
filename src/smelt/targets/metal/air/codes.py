# SPDX-License-Identifier: Apache-2.0
"""The numbers of LLVM's bitcode that the downgrader knows, by the names of llvm/Bitcode/LLVMBitCodes.h."""

from __future__ import annotations

from enum import IntEnum


class BlockId(IntEnum):
    """Blocks."""

    MODULE = 8
    PARAMATTR = 9
    PARAMATTR_GROUP = 10
    CONSTANTS = 11
    FUNCTION = 12
    IDENTIFICATION = 13
    VALUE_SYMTAB = 14
    METADATA = 15
    METADATA_ATTACHMENT = 16
    TYPE = 17
    METADATA_KIND = 22
    STRTAB = 23
    SYNC_SCOPE_NAMES = 26


class ModuleCode(IntEnum):
    """Records of a module."""

    VERSION = 1
    TRIPLE = 2
    DATALAYOUT = 3
    ASM = 4
    SECTIONNAME = 5
    GLOBALVAR = 7
    FUNCTION = 8
    GCNAME = 11
    COMDAT = 12
    ALIAS = 14
    SOURCE_FILENAME = 16
    IFUNC = 18


class TypeCode(IntEnum):
    """Records of the table of types."""

    NUMENTRY = 1
    VOID = 2
    FLOAT = 3
    DOUBLE = 4
    LABEL = 5
    INTEGER = 7
    POINTER = 8
    HALF = 10
    ARRAY = 11
    VECTOR = 12
    METADATA = 16
    STRUCT_ANON = 18
    STRUCT_NAME = 19
    STRUCT_NAMED = 20
    FUNCTION = 21
    TOKEN = 22
    BFLOAT = 23
    OPAQUE_POINTER = 25


class ConstantCode(IntEnum):
    """Records of constants."""

    SETTYPE = 1
    NULL = 2
    UNDEF = 3
    INTEGER = 4
    WIDE_INTEGER = 5
    FLOAT = 6
    AGGREGATE = 7
    STRING = 8
    CSTRING = 9
    CE_BINOP = 10
    CE_CAST = 11
    CE_GEP_14 = 12
    CE_INBOUNDS_GEP_14 = 20
    DATA = 22
    POISON = 26
    CE_GEP_WITH_INRANGE = 31
    CE_GEP = 32


class Cast(IntEnum):
    """Casts."""

    PTRTOINT = 9
    INTTOPTR = 10
    BITCAST = 11
    ADDRSPACECAST = 12


class InstructionCode(IntEnum):
    """Records of a function."""

    DECLAREBLOCKS = 1
    BINOP = 2
    CAST = 3
    EXTRACTELT = 6
    INSERTELT = 7
    SHUFFLEVEC = 8
    RET = 10
    BR = 11
    SWITCH = 12
    UNREACHABLE = 15
    PHI = 16
    ALLOCA = 19
    LOAD = 20
    EXTRACTVAL = 26
    INSERTVAL = 27
    CMP2 = 28
    VSELECT = 29
    DEBUG_LOC_AGAIN = 33
    CALL = 34
    DEBUG_LOC = 35
    FENCE = 36
    LOADATOMIC = 41
    GEP = 43
    STORE = 44
    STOREATOMIC = 45
    CMPXCHG = 46
    OPERAND_BUNDLE = 55
    UNOP = 56
    FREEZE = 58
    ATOMICRMW = 59
    BLOCKADDR_USERS = 60
    DEBUG_RECORD_VALUE = 61
    DEBUG_RECORD_DECLARE_VALUE = 66


class MetadataCode(IntEnum):
    """Records of metadata."""

    VALUE = 2
    NODE = 3
    NAME = 4
    DISTINCT_NODE = 5
    KIND = 6
    NAMED_NODE = 10
    ATTACHMENT = 11
    STRINGS = 35
    GLOBAL_DECL_ATTACHMENT = 36
    INDEX_OFFSET = 38
    INDEX = 39


class AttributeKind(IntEnum):
    """Attributes that are written in another way by LLVM 14, or that it doesn't know."""

    NO_CAPTURE = 11
    READ_NONE = 20
    READ_ONLY = 21
    UW_TABLE = 33
    ARGMEMONLY = 45
    INACCESSIBLEMEM_ONLY = 49
    INACCESSIBLEMEM_OR_ARGMEMONLY = 50
    WRITEONLY = 52
    LAST_OF_14 = 78
    MEMORY = 86
    CAPTURES = 102
