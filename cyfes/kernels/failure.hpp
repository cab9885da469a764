// How libcufes fails: a status for the caller and a message for the user.
#ifndef CUFES_FAILURE_HPP
#define CUFES_FAILURE_HPP

#include <stdexcept>
#include <string>

#include "cufes.h"

namespace cufes {

// Thrown inside the library only; cufes.cpp turns it into a status.
class Failure : public std::runtime_error {
 public:
  Failure(cufes_status status, const std::string &message)
      : std::runtime_error(message), status_(status) {}
  cufes_status status() const { return status_; }

 private:
  cufes_status status_;
};

}  // namespace cufes

#endif  // CUFES_FAILURE_HPP
