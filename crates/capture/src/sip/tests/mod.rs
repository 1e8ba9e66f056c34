mod golden;
mod properties;
mod rules;
