//! Field paths that cost nothing until somebody needs the text: almost every object is read without a complaint.

use crate::model::FieldPath;

/// One step of a path.
#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

/// A place in an object, as a chain of steps on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'p> {
    before: Option<&'p At<'p>>,
    step: Step<'p>,
}

impl<'p> At<'p> {
    /// A field of the object itself. May be a path already (`spec.podSelector`).
    pub(super) const fn root(field: &'p str) -> Self {
        Self { before: None, step: Step::Field(field) }
    }

    /// A field inside.
    pub(super) const fn field(&'p self, name: &'p str) -> Self {
        Self { before: Some(self), step: Step::Field(name) }
    }

    /// An item inside.
    pub(super) const fn index(&'p self, i: usize) -> Self {
        Self { before: Some(self), step: Step::Index(i) }
    }

    /// The path as text.
    pub(super) fn path(&self) -> FieldPath {
        let mut path = String::with_capacity(64);
        self.write(&mut path);
        FieldPath::new(path)
    }

    fn write(&self, path: &mut String) {
        if let Some(before) = self.before {
            before.write(path);
        }
        match (self.before, self.step) {
            (None, Step::Field(name)) => path.push_str(name),
            (Some(_), Step::Field(name)) => FieldPath::push_field(path, name),
            (_, Step::Index(i)) => FieldPath::push_index(path, i),
        }
    }
}
