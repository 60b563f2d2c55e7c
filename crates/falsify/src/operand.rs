//! What can be compared: slices and single values of numbers, truth values and texts, seen without a copy.

/// The elements of an operand.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// `f32` elements.
    F32(&'a [f32]),
    /// `f64` elements.
    F64(&'a [f64]),
    /// Whole numbers of any width.
    Int(Ints<'a>),
    /// Truth values.
    Bool(&'a [bool]),
    /// One text, whose elements are its bytes.
    Text(&'a str),
    /// Texts.
    Strs(&'a [&'a str]),
    /// Owned texts.
    Strings(&'a [String]),
}

/// Whole numbers by width.
#[derive(Debug, Clone, Copy)]
pub enum Ints<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    Usize(&'a [usize]),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    Isize(&'a [isize]),
}

/// One element, for a comparison by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element<'a> {
    Float(f64),
    Int(i128),
    Bool(bool),
    Text(&'a str),
}

impl std::fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(v) => write!(f, "{v:e}"),
            Self::Int(v) => v.fmt(f),
            Self::Bool(v) => v.fmt(f),
            // A report is a line.
            Self::Text(v) => write!(f, "{:?}", v.chars().take(80).collect::<String>()),
        }
    }
}

macro_rules! per_width {
    ($ints:expr, $v:ident => $body:expr) => {
        match $ints {
            Ints::U8($v) => $body,
            Ints::U16($v) => $body,
            Ints::U32($v) => $body,
            Ints::U64($v) => $body,
            Ints::Usize($v) => $body,
            Ints::I8($v) => $body,
            Ints::I16($v) => $body,
            Ints::I32($v) => $body,
            Ints::I64($v) => $body,
            Ints::Isize($v) => $body,
        }
    };
}

impl<'a> View<'a> {
    /// How many elements there are; a text has one per byte.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Int(v) => per_width!(v, v => v.len()),
            Self::Bool(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Strs(v) => v.len(),
            Self::Strings(v) => v.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the elements are, for a report: `f32`, `whole numbers`, `text`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::Int(_) => "whole numbers",
            Self::Bool(_) => "truth values",
            Self::Text(_) => "text",
            Self::Strs(_) | Self::Strings(_) => "texts",
        }
    }

    /// The element's value; the caller stays below [`View::len`].
    pub(crate) fn element(&self, at: usize) -> Element<'a> {
        match self {
            Self::F32(v) => Element::Float(f64::from(v[at])),
            Self::F64(v) => Element::Float(v[at]),
            // Every width fits into 128 bits.
            Self::Int(v) => Element::Int(per_width!(v, v => v[at] as i128)),
            Self::Bool(v) => Element::Bool(v[at]),
            Self::Text(v) => Element::Int(i128::from(v.as_bytes()[at])),
            Self::Strs(v) => Element::Text(v[at]),
            Self::Strings(v) => Element::Text(&v[at]),
        }
    }

    /// The element as a number, `None` for texts and truth values. Whole numbers above 2^53 are rounded.
    #[expect(
        clippy::cast_precision_loss,
        reason = "said above; differences of whole numbers are taken exactly"
    )]
    pub(crate) fn number(&self, at: usize) -> Option<f64> {
        match self.element(at) {
            Element::Float(v) => Some(v),
            Element::Int(v) if !matches!(self, Self::Text(_)) => Some(v as f64),
            _ => None,
        }
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Self::F32(_) | Self::F64(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_float() || matches!(self, Self::Int(_))
    }

    /// How many elements are NaN.
    pub(crate) fn nan(&self) -> u64 {
        match self {
            Self::F32(v) => v.iter().filter(|x| x.is_nan()).count() as u64,
            Self::F64(v) => v.iter().filter(|x| x.is_nan()).count() as u64,
            _ => 0,
        }
    }
}

/// Something whose elements can be compared.
pub trait Operand {
    /// The elements.
    fn view(&self) -> View<'_>;
}

macro_rules! operand {
    ($($type:ty => |$v:ident| $view:expr;)*) => {$(
        impl Operand for [$type] {
            fn view(&self) -> View<'_> {
                let $v = self;
                $view
            }
        }
        impl Operand for Vec<$type> {
            fn view(&self) -> View<'_> {
                self.as_slice().view()
            }
        }
        impl<const N: usize> Operand for [$type; N] {
            fn view(&self) -> View<'_> {
                self.as_slice().view()
            }
        }
        impl Operand for $type {
            fn view(&self) -> View<'_> {
                std::slice::from_ref(self).view()
            }
        }
    )*};
}

operand! {
    f32 => |v| View::F32(v);
    f64 => |v| View::F64(v);
    u8 => |v| View::Int(Ints::U8(v));
    u16 => |v| View::Int(Ints::U16(v));
    u32 => |v| View::Int(Ints::U32(v));
    u64 => |v| View::Int(Ints::U64(v));
    usize => |v| View::Int(Ints::Usize(v));
    i8 => |v| View::Int(Ints::I8(v));
    i16 => |v| View::Int(Ints::I16(v));
    i32 => |v| View::Int(Ints::I32(v));
    i64 => |v| View::Int(Ints::I64(v));
    isize => |v| View::Int(Ints::Isize(v));
    bool => |v| View::Bool(v);
}

impl Operand for str {
    fn view(&self) -> View<'_> {
        View::Text(self)
    }
}

impl Operand for String {
    fn view(&self) -> View<'_> {
        View::Text(self)
    }
}

impl Operand for [String] {
    fn view(&self) -> View<'_> {
        View::Strings(self)
    }
}

impl Operand for Vec<String> {
    fn view(&self) -> View<'_> {
        View::Strings(self)
    }
}

impl Operand for [&str] {
    fn view(&self) -> View<'_> {
        View::Strs(self)
    }
}

impl Operand for Vec<&str> {
    fn view(&self) -> View<'_> {
        View::Strs(self)
    }
}

impl<const N: usize> Operand for [&str; N] {
    fn view(&self) -> View<'_> {
        View::Strs(self)
    }
}

impl<T: Operand + ?Sized> Operand for &T {
    fn view(&self) -> View<'_> {
        (**self).view()
    }
}
