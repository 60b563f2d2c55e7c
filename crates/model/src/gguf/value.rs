//! Metadata values: one table of types, and typed access that names key and type when it fails.

use super::cursor::{Cursor, What};
use super::error::Quoted;
use super::{Error, KeyError};
use indexmap::IndexMap;
use indexmap::map::Entry;
use std::fmt;

/// How deep arrays may nest. Real files use one level.
const NESTING: usize = 4;

macro_rules! values {
    ($($name:ident $ty:ty, $id:literal $text:literal $least:literal;)*) => {
        /// The type of a metadata value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Type { $(#[doc = $text] $name = $id,)* }
        impl Type {
            /// The type of that id.
            #[must_use]
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$name),)* _ => None }
            }
            /// Its name in messages.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// The least bytes one value takes.
            fn least(self) -> u64 {
                match self { $(Self::$name => $least,)* }
            }
        }
        /// A metadata value.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Value { $(#[doc = $text] $name($ty),)* }
        impl Value {
            /// Its type.
            #[must_use]
            pub fn kind(&self) -> Type {
                match self { $(Self::$name(_) => Type::$name,)* }
            }
            fn parse(cursor: &mut Cursor<'_>, kind: Type, key: &str) -> Result<Self, Error> {
                Ok(match kind { $(Type::$name => Self::$name(<$ty as Field>::parse(cursor, key, 0)?),)* })
            }
        }
        /// An array of metadata values of one type.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Array { $(#[doc = concat!("array of ", $text)] $name(Vec<$ty>),)* }
        impl Array {
            /// The type of its elements.
            #[must_use]
            pub fn kind(&self) -> Type {
                match self { $(Self::$name(_) => Type::$name,)* }
            }
            /// How many elements it has.
            #[must_use]
            pub fn len(&self) -> usize {
                match self { $(Self::$name(v) => v.len(),)* }
            }
            fn elements(cursor: &mut Cursor<'_>, kind: Type, count: u64, key: &str, depth: usize)
            -> Result<Self, Error> {
                Ok(match kind { $(Type::$name => Self::$name(
                    (0..count).map(|_| <$ty as Field>::parse(cursor, key, depth)).collect::<Result<_, _>>()?
                ),)* })
            }
        }
    };
}

values! {
    U8 u8, 0 "u8" 1;
    I8 i8, 1 "i8" 1;
    U16 u16, 2 "u16" 2;
    I16 i16, 3 "i16" 2;
    U32 u32, 4 "u32" 4;
    I32 i32, 5 "i32" 4;
    F32 f32, 6 "f32" 4;
    Bool bool, 7 "bool" 1;
    String String, 8 "string" 8;
    Array Array, 9 "array" 12;
    U64 u64, 10 "u64" 8;
    I64 i64, 11 "i64" 8;
    F64 f64, 12 "f64" 8;
}

/// A value as it stands in the file.
trait Field: Sized {
    fn parse(cursor: &mut Cursor<'_>, key: &str, depth: usize) -> Result<Self, Error>;
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(impl Field for $ty {
        fn parse(cursor: &mut Cursor<'_>, key: &str, _: usize) -> Result<Self, Error> {
            Ok(Self::from_le_bytes(cursor.array(What::Value(key))?))
        }
    })* };
}
numbers!(u8 i8 u16 i16 u32 i32 f32 u64 i64 f64);

impl Field for bool {
    fn parse(cursor: &mut Cursor<'_>, key: &str, _: usize) -> Result<Self, Error> {
        match cursor.array::<1>(What::Value(key))? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(Error::Bool { key: key.to_owned(), found }),
        }
    }
}

impl Field for String {
    fn parse(cursor: &mut Cursor<'_>, key: &str, _: usize) -> Result<Self, Error> {
        cursor.string(What::Value(key))
    }
}

impl Field for Array {
    fn parse(cursor: &mut Cursor<'_>, key: &str, depth: usize) -> Result<Self, Error> {
        if depth == NESTING {
            return Err(Error::Nesting { key: key.to_owned(), limit: NESTING });
        }
        let kind = kind(cursor, key)?;
        let count = cursor.count(What::Value(key), kind.least())?;
        Self::elements(cursor, kind, count, key, depth + 1)
    }
}

fn kind(cursor: &mut Cursor<'_>, key: &str) -> Result<Type, Error> {
    let id = cursor.u32(What::Value(key))?;
    Type::from_id(id).ok_or_else(|| Error::ValueType { key: key.to_owned(), id })
}

impl Array {
    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "array of {} {}", self.len(), self.kind().name())
    }
}

/// The type and, for scalars, the value: for messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().name();
        match self {
            Self::U8(v) => write!(f, "{kind} {v}"),
            Self::I8(v) => write!(f, "{kind} {v}"),
            Self::U16(v) => write!(f, "{kind} {v}"),
            Self::I16(v) => write!(f, "{kind} {v}"),
            Self::U32(v) => write!(f, "{kind} {v}"),
            Self::I32(v) => write!(f, "{kind} {v}"),
            Self::F32(v) => write!(f, "{kind} {v}"),
            Self::Bool(v) => write!(f, "{kind} {v}"),
            Self::U64(v) => write!(f, "{kind} {v}"),
            Self::I64(v) => write!(f, "{kind} {v}"),
            Self::F64(v) => write!(f, "{kind} {v}"),
            Self::String(v) => write!(f, "{kind} {}", Quoted(v)),
            Self::Array(v) => write!(f, "{v}"),
        }
    }
}

/// A file's metadata, in the file's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: IndexMap<String, Value>,
}

impl Metadata {
    pub(super) fn parse(cursor: &mut Cursor<'_>, count: u64) -> Result<Self, Error> {
        let mut entries = IndexMap::new();
        for index in 0..count {
            let key = cursor.string(What::Key(index))?;
            let kind = kind(cursor, &key)?;
            let value = Value::parse(cursor, kind, &key)?;
            match entries.entry(key) {
                Entry::Vacant(slot) => slot.insert(value),
                Entry::Occupied(slot) => return Err(Error::DuplicateKey { key: slot.key().clone() }),
            };
        }
        Ok(Self { entries })
    }

    /// The value of a key, whatever its type.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// The value of a key that has to be there.
    ///
    /// # Errors
    /// When it is missing or of another type.
    pub fn required<'a, T: Decode<'a>>(&'a self, key: &str) -> Result<T, KeyError> {
        self.optional(key)?.ok_or_else(|| KeyError::Missing { key: key.to_owned(), wanted: T::WANTED })
    }

    /// The value of a key that may be absent.
    ///
    /// # Errors
    /// When it is there but of another type.
    pub fn optional<'a, T: Decode<'a>>(&'a self, key: &str) -> Result<Option<T>, KeyError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match T::decode(value) {
            Some(decoded) => Ok(Some(decoded)),
            None => {
                Err(KeyError::Mismatch { key: key.to_owned(), found: value.to_string(), wanted: T::WANTED })
            }
        }
    }

    /// Sets a key, for writing; the key's place is that of its first setting.
    pub fn set(&mut self, key: impl Into<String>, value: Value) {
        self.entries.insert(key.into(), value);
    }

    /// All entries, in the file's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }
}

/// A Rust type that metadata values can be read as.
pub trait Decode<'a>: Sized {
    /// What is accepted, for messages.
    const WANTED: &'static str;
    /// The value, if it is of an accepted type and fits.
    fn decode(value: &'a Value) -> Option<Self>;
}

impl Value {
    /// A number of any type, a truth value as 0 or 1.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            Self::Bool(v) => Some(v.into()),
            _ => self.integer().map(|v| v as f64),
        }
    }

    fn integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(v) => v.into(),
            Self::I8(v) => v.into(),
            Self::U16(v) => v.into(),
            Self::I16(v) => v.into(),
            Self::U32(v) => v.into(),
            Self::I32(v) => v.into(),
            Self::U64(v) => v.into(),
            Self::I64(v) => v.into(),
            _ => return None,
        })
    }
}

macro_rules! integers {
    ($($ty:ty)*) => { $(
        /// Any integer type whose value fits.
        impl Decode<'_> for $ty {
            const WANTED: &'static str = concat!("an integer that fits ", stringify!($ty));
            fn decode(value: &Value) -> Option<Self> {
                value.integer().and_then(|v| v.try_into().ok())
            }
        }
    )* };
}
integers!(u32 u64 usize i64);

impl Decode<'_> for f32 {
    const WANTED: &'static str = "f32";
    fn decode(value: &Value) -> Option<Self> {
        match value {
            Value::F32(v) => Some(*v),
            _ => None,
        }
    }
}

impl Decode<'_> for f64 {
    const WANTED: &'static str = "f32 or f64";
    fn decode(value: &Value) -> Option<Self> {
        match value {
            Value::F32(v) => Some((*v).into()),
            Value::F64(v) => Some(*v),
            _ => None,
        }
    }
}

impl Decode<'_> for bool {
    const WANTED: &'static str = "bool";
    fn decode(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(v) => Some(*v),
            _ => None,
        }
    }
}

impl<'a> Decode<'a> for &'a str {
    const WANTED: &'static str = "string";
    fn decode(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(v) => Some(v),
            _ => None,
        }
    }
}

impl<'a> Decode<'a> for &'a [String] {
    const WANTED: &'static str = "array of string";
    fn decode(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::String(v)) => Some(v),
            _ => None,
        }
    }
}

impl<'a> Decode<'a> for &'a [f32] {
    const WANTED: &'static str = "array of f32";
    fn decode(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::F32(v)) => Some(v),
            _ => None,
        }
    }
}

/// Any array of integers that fit.
impl Decode<'_> for Vec<i64> {
    const WANTED: &'static str = "array of integers";
    fn decode(value: &Value) -> Option<Self> {
        let Value::Array(array) = value else { return None };
        Some(match array {
            Array::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Array::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Array::U16(v) => v.iter().map(|&x| x.into()).collect(),
            Array::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Array::U32(v) => v.iter().map(|&x| x.into()).collect(),
            Array::I32(v) => v.iter().map(|&x| x.into()).collect(),
            Array::I64(v) => v.clone(),
            Array::U64(v) => v.iter().map(|&x| x.try_into().ok()).collect::<Option<_>>()?,
            _ => return None,
        })
    }
}
